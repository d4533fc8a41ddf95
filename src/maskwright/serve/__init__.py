"""The service: models behind HTTP, a page to look at their results, and a client. Trains and scores nothing."""
