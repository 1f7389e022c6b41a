"""The driver's own words: pure values and errors, standard library only."""
