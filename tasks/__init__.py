"""What is to be solved: embedded scenes, folders of photos, and their cameras."""
