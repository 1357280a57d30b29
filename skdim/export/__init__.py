"""Fitted transformers, and pipelines with them, as files that need no skdim: ONNX, torch.export and safetensors."""

from skdim.export.onnx import to_onnx
from skdim.export.program import to_torch_export
from skdim.export.safetensors import from_safetensors, to_safetensors

__all__ = ["from_safetensors", "to_onnx", "to_safetensors", "to_torch_export"]
