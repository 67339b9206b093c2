"""What a served model answers: one folder for each evaluator, and what they share."""
