"""Measures of pictures: distances, caption agreement, scene accuracy, reconstruction; each with an interval."""
