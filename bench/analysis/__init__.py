"""Computes what stored scores say: means, differences, intervals and verdicts.

paired_comparison      a table: means, paired differences, verdicts
trial_scores           its numbers, read from a store's frame
table_result           the result as plain values
findings               verdicts of several tables in a sentence
statistics             intervals, tests, needed numbers of clusters and seeds
upper_bounds           scores of true renders, which true_renders measures; chance
failure_modes          degenerate objects by arm
variance_components    variance between clusters, seeds and views
image_set_distances    FID and KID of an arm's renders
view_pair_similarity   similarity of photographs within and across scenes
bradley_terry          scores of arms from votes
"""
