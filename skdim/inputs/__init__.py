"""What goes into a step: views of samples, the arrays that hold them, batches and random numbers.

Objects that configure a transformer's views are public: augmentations, and partitions such as :class:`Shift`.
"""

from skdim.inputs.augmentation import Augmentation, ImageAugmentation, SequenceAugmentation, TableAugmentation
from skdim.inputs.partitions import Shift

__all__ = ["Augmentation", "ImageAugmentation", "SequenceAugmentation", "Shift", "TableAugmentation"]
