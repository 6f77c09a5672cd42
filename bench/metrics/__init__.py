"""Turns a trial's views into scores.

registry               all metrics, and how one is added
metric_key             names of metrics
task_kinds/            kinds of tasks, and how one is added
protocols              what a protocol is: photo_protocols, caption_protocols
photo_scorers          numbers of photographs, by image, lpips and kept_photographs
caption_scorers        numbers of captions, by r_precision and multiview_consistency
fid_kid, inception     distances between sets of images
judges                 which encoders may judge
stored_views, scores   what goes in, what comes out
scoring_speed          how fast all that is, beside torchmetrics
"""
