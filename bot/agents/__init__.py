"""Owns what an agent is for its people: start, steer, stop, publish, and what must be true after
a crash. It asks for the outside through `ports` and knows nothing of Slack, SQL, HTTP or an
engine.
"""
