"""Lets a user bring a method or renders of their own: checks them and compares them with baselines."""
