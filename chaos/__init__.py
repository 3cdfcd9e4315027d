"""The chaos run: breaks the system in a hundred ways under load, and then checks that every number is right."""
