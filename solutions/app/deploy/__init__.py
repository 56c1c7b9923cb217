"""How the app is delivered: its box, its neighbours, its tests."""
