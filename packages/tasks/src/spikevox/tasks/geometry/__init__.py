"""Geometry of upright boxes: overlap, suppression, coding against anchors, what lies in them, what a camera sees of them."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.geometry.angle import heading_half, turn_into_half, wrap_angle
    from spikevox.tasks.geometry.boxes import box_corners, check_boxes, count_points, points_in_boxes
    from spikevox.tasks.geometry.coding import decode_boxes, encode_boxes
    from spikevox.tasks.geometry.nms import non_maximum_suppression
    from spikevox.tasks.geometry.projection import ImageBoxes, image_boxes
    from spikevox.tasks.geometry.rotated_iou import bev_iou, iou_3d, nearest_bev_iou

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "angle": ("heading_half", "turn_into_half", "wrap_angle"),
        "boxes": ("box_corners", "check_boxes", "count_points", "points_in_boxes"),
        "coding": ("decode_boxes", "encode_boxes"),
        "nms": ("non_maximum_suppression",),
        "projection": ("ImageBoxes", "image_boxes"),
        "rotated_iou": ("bev_iou", "iou_3d", "nearest_bev_iou"),
    },
)
