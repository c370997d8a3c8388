"""What hostile repositories get from an agent that obeys everything it reads."""
