"""What every stage needs underneath: parameters, paths, processes, waiting and trying again."""
