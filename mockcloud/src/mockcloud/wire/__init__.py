"""How requests and answers travel: signatures, parameters, bodies."""
