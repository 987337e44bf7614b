"""Priors: denoisers in sigma space, analytic or learned."""
