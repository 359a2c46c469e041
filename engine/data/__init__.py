"""Data sets: built in, folders of classes, folders of photos, pictures with masks; checks that name the bad file."""

from engine.data.catalogue import data_settings, open_data, set_names
from engine.data.dataset import DataSet, UniformPictures, VariedPictures
from engine.data.settings import DataSettings

__all__ = ["DataSet", "DataSettings", "UniformPictures", "VariedPictures", "data_settings", "open_data", "set_names"]
