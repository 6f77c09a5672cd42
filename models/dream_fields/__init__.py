"""Dream Fields: optimises a field so that an encoder recognises a caption in every view of it.

`method` holds the method, `losses` and `bounds` its parts, `presets` its named values.
"""

from __future__ import annotations

from models.dream_fields.method import DreamFields, DreamFieldsData
from models.dream_fields.presets import (
    DREAM_FIELDS,
    DREAM_FIELDS_2022,
    DREAM_FIELDS_HQ,
    DREAM_FIELDS_HQ_FAST,
    DREAM_FIELDS_LQ,
    DREAM_FIELDS_LQ_FAST,
    DREAM_FIELDS_MQ,
    DREAM_FIELDS_MQ_FAST,
    DREAM_FIELDS_SHAPE,
    HASH_GRID,
    PLAIN,
    SIMPLE_FIELD,
    SIMPLIFIED,
    VOXELS,
    embedded_recipe,
)

__all__ = [
    "DREAM_FIELDS",
    "DREAM_FIELDS_SHAPE",
    "DREAM_FIELDS_2022",
    "DREAM_FIELDS_HQ",
    "DREAM_FIELDS_HQ_FAST",
    "DREAM_FIELDS_LQ",
    "DREAM_FIELDS_LQ_FAST",
    "DREAM_FIELDS_MQ",
    "DREAM_FIELDS_MQ_FAST",
    "HASH_GRID",
    "PLAIN",
    "SIMPLE_FIELD",
    "SIMPLIFIED",
    "VOXELS",
    "DreamFields",
    "DreamFieldsData",
    "embedded_recipe",
]
