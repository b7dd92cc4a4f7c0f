"""Commands of the client: they move images, name them, look at them."""
