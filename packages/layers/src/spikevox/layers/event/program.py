"""Networks of the compiled library: the structures of its C interface, filled in from a plan."""

import ctypes
import os
import weakref
from typing import Any

import torch
from torch import Tensor

from spikevox.layers import native
from spikevox.layers.backends.compiled_sites import Striding, striding
from spikevox.layers.backends.geometry import KernelGeometry, Triple
from spikevox.layers.event.plan import Form, Layer, Plan
from spikevox.layers.graph import SitesOrigin

NONE = -1
_Int, _Long, _Pointer = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p


class _Geometry(ctypes.Structure):
    _fields_ = (("size", _Int * 3), ("first", _Long * 3), ("step", _Long * 3))


class _Source(ctypes.Structure):
    _fields_ = (("slot", _Int), ("is_events", _Int), ("channels", _Long), ("weight", _Pointer))


class _Result(ctypes.Structure):
    _fields_ = (
        ("kind", _Int),
        ("event_slot", _Int),
        ("value_slot", _Int),
        ("column", _Int),
        ("parameter", ctypes.c_double),
    )


class _Layer(ctypes.Structure):
    _fields_ = (
        ("kind", _Int),
        ("sites", _Int),
        ("map", _Int),
        ("transposed", _Int),
        ("channels", _Long),
        ("source_count", _Int),
        ("residual_count", _Int),
        ("result_count", _Int),
        ("sources", ctypes.POINTER(_Source)),
        ("residuals", ctypes.POINTER(_Int)),
        ("results", ctypes.POINTER(_Result)),
        ("start", _Pointer),
        ("factor", _Pointer),
        ("shift", _Pointer),
    )


class NativeSession:
    """The sites and kernel maps of one input; freed with this object."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        weakref.finalize(self, native.library().spikevox_session_free, handle)

    def rows(self, sites: int) -> int:
        """Number of rows of a set of sites, or of samples."""
        return int(native.library().spikevox_session_rows(self.handle, sites))

    def coordinates(self, sites: int) -> Tensor:
        """(N, 4) int32 of a set of sites."""
        result = torch.empty(self.rows(sites), 4, dtype=torch.int32)
        native.library().spikevox_session_coordinates(self.handle, sites, result.data_ptr())
        return result


class NativeNetwork:
    """A planned network in the library; freed with this object.

    Args:
        plan: see :func:`make_plan`.
        sites: of the recorded graph.
        sites_of: of each node of the graph.
        dtype: float32 or float64.

    Attributes:
        outputs: (sites, channels) of each output, in the order of the plan's.
        names: of the layers, in order.
    """

    def __init__(self, plan: Plan, sites: tuple[SitesOrigin, ...], sites_of: list[int], dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._suffix = native.suffix(dtype)
        self._handle = _Pointer()
        native.check(self._function("new")(ctypes.byref(self._handle)))
        weakref.finalize(self, self._function("free"), self._handle)
        for origin in sites[1:]:
            self._add("sites", origin.parent, ctypes.byref(_striding(origin, sites)))
        for known in plan.maps:
            geometry = _geometry(known.geometry, sites[known.inputs].tensor_stride)
            self._add("map", known.inputs, known.outputs, ctypes.byref(geometry))
        self._slots: dict[Form, int] = {}
        self._allocate(plan, sites_of)
        for layer in plan.layers:
            self._add_layer(layer)
        forms = list(dict.fromkeys(plan.outputs.values()))
        for form in forms:
            self._add("output", self._slots[form])
        self.outputs = [(sites_of[form.base], plan.channels[form]) for form in forms]
        self.output_of = {node: forms.index(form) for node, form in plan.outputs.items()}
        self.names = [layer.name for layer in plan.layers]

    def _function(self, name: str) -> Any:
        return getattr(native.library(), f"spikevox_network_{name}_{self._suffix}")

    def _add(self, what: str, *arguments: Any) -> int:
        result = _Int()
        native.check(self._function(what)(self._handle, *arguments, ctypes.byref(result)))
        return result.value

    def _allocate(self, plan: Plan, sites_of: list[int]) -> None:
        """Slots for all tables; one that is no longer read leaves its memory to another of its kind."""
        first = Form(0, None, False)
        last_read: dict[Form, int] = {}
        for step, layer in enumerate(plan.layers):
            for form in (*(s.form for s in layer.sources), *layer.residuals):
                last_read[form] = step
        kept = {first, *plan.outputs.values()}
        self._slots[first] = self._add("slot", 0, plan.channels.get(first, 1), False, 0)
        storage = {first: 0}
        idle: dict[bool, list[int]] = {True: [], False: []}
        for step, layer in enumerate(plan.layers):
            for form in dict.fromkeys(result.form for result in layer.results):
                if form in self._slots:
                    continue
                slot = len(self._slots)
                shared = idle[form.events]
                storage[form] = shared.pop() if shared and form not in kept else slot
                self._slots[form] = self._add(
                    "slot", sites_of[form.base], plan.channels[form], form.events, storage[form]
                )
            for form, end in last_read.items():
                if end == step and form not in kept:
                    idle[form.events].append(storage[form])

    def _add_layer(self, layer: Layer) -> None:
        kept: list[Tensor] = []

        def pointer(tensor: Tensor | None) -> Any:
            if tensor is None:
                return None
            kept.append(tensor.to(self.dtype).contiguous())
            return kept[-1].data_ptr()

        sources = [
            _Source(self._slots[s.form], s.form.events, layer.channels if s.weight is None else s.weight.shape[1],
                    pointer(s.weight))
            for s in layer.sources
        ]  # fmt: skip
        residuals = [self._slots[form] for form in layer.residuals]
        results = []
        for form, rule, column in layer.results:
            slot = self._slots[form]
            ends = (slot, NONE) if form.events else (NONE, slot)
            results.append(
                _Result(NONE if rule is None else rule.kind, *ends, column, 0.0 if rule is None else rule.parameter)
            )
        spec = _Layer(
            layer.kind,
            layer.sites,
            layer.map,
            layer.transposed,
            layer.channels,
            len(sources),
            len(residuals),
            len(results),
            (_Source * len(sources))(*sources),
            (_Int * len(residuals))(*residuals),
            (_Result * len(results))(*results),
            pointer(layer.start),
            pointer(layer.factor),
            pointer(layer.shift),
        )
        self._add("layer", ctypes.byref(spec))

    def prepare(self, coordinates: Tensor, batch_size: int) -> NativeSession:
        """The sites and maps that a network needs for coordinates (N, 4) int32 in any order."""
        session = _Pointer()
        native.check(
            self._function("prepare")(
                self._handle,
                native.address(coordinates, torch.int32, "coordinates"),
                len(coordinates),
                batch_size,
                torch.get_num_threads(),
                ctypes.byref(session),
            )
        )
        return NativeSession(session)

    def execute(self, session: NativeSession, features: Tensor) -> tuple[list[Tensor], list[int]]:
        """Outputs, and the additions that each layer made."""
        tables = [torch.empty(session.rows(sites), channels, dtype=self.dtype) for sites, channels in self.outputs]
        work = (_Long * len(self.names))()
        native.check(
            self._function("execute")(
                native.level(os.environ.get("SPIKEVOX_SIMD", "")),
                self._handle,
                session.handle,
                native.address(features, self.dtype, "features"),
                (_Pointer * len(tables))(*(table.data_ptr() for table in tables)),
                work,
                torch.get_num_threads(),
            )
        )
        return tables, list(work)


def _striding(origin: SitesOrigin, sites: tuple[SitesOrigin, ...]) -> Striding:
    if origin.geometry is None or origin.parent is None:
        raise ValueError("the input's sites are derived from none")
    return striding(origin.geometry, sites[origin.parent].tensor_stride, floor=origin.floor, extent=origin.extent)


def _geometry(geometry: KernelGeometry, tensor_stride: Triple) -> _Geometry:
    first = (-p * s for p, s in zip(geometry.padding, tensor_stride, strict=True))
    step = (d * s for d, s in zip(geometry.dilation, tensor_stride, strict=True))
    return _Geometry((_Int * 3)(*geometry.kernel_size), (_Long * 3)(*first), (_Long * 3)(*step))
