"""What the estimates know of one accelerator: dense peaks, memory, bandwidths, power, and achieved shares of peaks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scaling.errors import UserError

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "fp8", "int8")

UNMEASURED_MATMUL_FRACTION = 0.75
"""Best matrix product over dense peak where nobody has published a measurement: the middle of the measured devices of
the catalogue (0.51 to 0.87)."""
UNMEASURED_SUSTAINED_FRACTION = 0.76
"""The same for `sustained_fraction`: as the H100, the lower of the two measured (benchmarks/achieved_rates.py)."""
UNMEASURED_ATTENTION_FRACTION = 0.5
"""The same for `attention_fraction`: as the A100 (Dao 2023, arXiv:2307.08691)."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """An example of what an hour of one device costs."""

    usd_per_device_hour: float
    date: str
    """Month of the example, YYYY-MM."""
    source: str


@dataclass(frozen=True, kw_only=True)
class Device:
    """One accelerator: the figures of its data sheet, and the shares of its peaks that programs reach."""

    name: str
    title: str
    peak_flops: Mapping[str, float]
    """Dense peak in FLOP/s by precision: fp32, tf32, fp16, bf16, fp8, int8 (absent: not supported)."""
    memory_bytes: float
    """Memory that the driver reports."""
    memory_bytes_per_second: float
    """Peak memory bandwidth."""
    link_bytes_per_second: float
    """To the other devices of a node, per direction (NVLink, Infinity Fabric, ICI, PCIe)."""
    network_bytes_per_second: float
    """To other nodes, per device and direction, in the vendor's reference system."""
    node_devices: int
    """Devices in a node of that system."""
    power_watts: float | None
    """Board power limit (TDP); None: not published."""
    source: str
    """Where peaks, memory, bandwidths and power come from."""
    matmul_fraction: float = UNMEASURED_MATMUL_FRACTION
    """Best matrix product measured over the dense peak, 16-bit."""
    matmul_source: str = "not measured: the middle of the measured devices"
    sustained_fraction: float = UNMEASURED_SUSTAINED_FRACTION
    """Rate of a model's matrix products in a training run of tuned code, over the best product: shapes are mixed, data
    are real, and clocks are those under load."""
    sustained_source: str = "not measured: as the H100, the lower of the two measured"
    attention_fraction: float = UNMEASURED_ATTENTION_FRACTION
    """Rate of a fused (flash) attention kernel, forward and backward together, over the dense peak."""
    attention_source: str = "assumed as on the A100 (Dao 2023, arXiv:2307.08691)"
    visible_memory_bytes: float | None = None
    """Memory that PyTorch sees (`torch.cuda.get_device_properties(0).total_memory`), where it has been reported."""
    shares_host_memory: bool = False
    """Whether its memory is the machine's own, as on a CPU."""
    price: Price | None = None
    speed_calibration: float = 1.0
    """Measured speed over estimated speed: set it from a run of your own (`timing.calibration`)."""

    def __post_init__(self) -> None:
        for name in (
            "memory_bytes", "memory_bytes_per_second", "link_bytes_per_second", "network_bytes_per_second",
            "node_devices", "matmul_fraction", "sustained_fraction", "attention_fraction", "speed_calibration",
        ):  # fmt: skip
            if not getattr(self, name) > 0:
                raise UserError(f"hardware {self.name!r}: {name}={getattr(self, name)!r} must be positive")
        if not self.peak_flops or not all(peak > 0 for peak in self.peak_flops.values()):
            raise UserError(f"hardware {self.name!r}: peak_flops needs a positive FLOP/s for some precision")
        unknown = set(self.peak_flops) - set(PRECISIONS)
        if unknown:
            raise UserError(
                f"hardware {self.name!r}: unknown precision {', '.join(sorted(unknown))} in peak_flops: "
                f"use {', '.join(PRECISIONS)}"
            )
        if max(self.matmul_fraction, self.sustained_fraction, self.attention_fraction) > 1:
            raise UserError(f"hardware {self.name!r}: fractions of the peak cannot exceed 1")
        if self.power_watts is not None and not self.power_watts > 0:
            raise UserError(
                f"hardware {self.name!r}: power_watts={self.power_watts!r} must be positive or null"
            )

    def peak(self, precision: str) -> float:
        """Dense peak in FLOP/s at a precision. Raises UserError naming those the device has."""
        if precision not in PRECISIONS:
            raise UserError(f"precision={precision!r} is unknown: choose one of {', '.join(PRECISIONS)}")
        if precision not in self.peak_flops:
            raise UserError(
                f"{self.name} has no {precision} matrix units: choose one of {', '.join(self.peak_flops)}"
            )
        return self.peak_flops[precision]

    def to_json(self) -> dict[str, Any]:  # JSON: numbers, texts and dictionaries of them
        """Every figure and its source, for programs."""
        return {**asdict(self), "peak_flops": dict(self.peak_flops)}

    @property
    def training_precision(self) -> str:
        """The usual precision of matrix products in training: bf16 where there is one, else fp16, else fp32."""
        return next(p for p in ("bf16", "fp16", "fp32", *PRECISIONS) if p in self.peak_flops)
