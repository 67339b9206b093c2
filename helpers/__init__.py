"""What Assay's notebooks call; importing this package does nothing else."""
