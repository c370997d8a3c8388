"""`python -m bot`: runs the bot."""

from bot.cli.serve import run_command

if __name__ == "__main__":
    run_command([])
