"""What a study says, section by section: each file writes the sections of one kind of answer."""
