"""The sections of a diagnosis: each measures one thing about a model and answers questions with it."""
