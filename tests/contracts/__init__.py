"""What every adapter of a port must do: run on the fake and on the real one.

A class here is a port's checks; a test class inherits it and gives the fixtures that it names.
"""
