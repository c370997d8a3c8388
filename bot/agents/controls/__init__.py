"""Owns what people change of an agent at work: buttons, answers, the model, an edited message.
It stores what was asked for and leaves the doing to `lifecycle`.
"""
