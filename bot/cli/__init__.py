"""Owns the `threadsmith` command. It knows no rule of the product: it asks `app` for all."""
