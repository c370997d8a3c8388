"""Owns a call of the language model: the request, the streamed response, the provider's errors
and limits. It knows nothing of tools or tasks.
"""
