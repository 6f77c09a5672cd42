"""The task of reconstructing a scene from few views: embedded scenes and folders of photographs."""
