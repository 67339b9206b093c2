"""Is this project ready for the pipelines? One line per thing that has to be there: ok, or what to do."""
