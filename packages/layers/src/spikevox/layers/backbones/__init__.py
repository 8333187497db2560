"""Networks without heads, shared by classification, detection and segmentation."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.layers.backbones.backbone import Backbone
    from spikevox.layers.backbones.bev import BEV_SIZES, BevBackbone, BevSize, merge_heights
    from spikevox.layers.backbones.encoder import SIZES, Encoder, EncoderSize
    from spikevox.layers.backbones.unet import UNET_SIZES, UNet, UNetSize
    from spikevox.layers.backbones.voxel8x import VOXEL8X_SIZES, Voxel8x, Voxel8xOutput, Voxel8xSize
    from spikevox.layers.backbones.voxelnext import VOXELNEXT_SIZES, HeightSum, VoxelNeXtBackbone, VoxelNeXtSize

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "backbone": ("Backbone",),
        "bev": ("BEV_SIZES", "BevBackbone", "BevSize", "merge_heights"),
        "encoder": ("SIZES", "Encoder", "EncoderSize"),
        "unet": ("UNET_SIZES", "UNet", "UNetSize"),
        "voxel8x": ("VOXEL8X_SIZES", "Voxel8x", "Voxel8xOutput", "Voxel8xSize"),
        "voxelnext": ("VOXELNEXT_SIZES", "HeightSum", "VoxelNeXtBackbone", "VoxelNeXtSize"),
    },
)
