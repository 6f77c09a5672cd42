"""Defines studies: tables of arms, trials, and what makes two trials the same."""
