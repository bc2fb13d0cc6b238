"""Moving pictures, and many: frames from folders, videos and animations, dreamt into, and put together again."""
