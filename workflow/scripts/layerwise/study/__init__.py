"""What is studied: every YAML file as a checked pydantic model, and an experiment with every file it names."""
