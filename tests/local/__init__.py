"""The embedded servers, the renderer and the demo."""
