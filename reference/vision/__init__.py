"""Vision transformers and masked autoencoders, with the names and shapes the vision notebook asks for."""
