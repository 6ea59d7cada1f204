"""Accelerators: dense peaks, memory, bandwidths, power and example prices, each with its source.

Peaks are the vendor's figures for dense matrices: a sparse figure is twice that and is never used here. Peaks
count float32 accumulation where the vendor gives both. Bandwidths are per direction and per device. Prices are
examples of the day they are dated: give your own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

GIB = 2**30
MIB = 2**20
TERA = 1e12
GIGA = 1e9

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "fp8", "int8")

UNMEASURED_MATMUL_FRACTION = 0.75
"""Best matrix product over dense peak where nobody has published a measurement: the middle of those measured
below (0.51 to 0.87)."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """What an hour of one device was seen to cost."""

    usd_per_device_hour: float
    date: str
    """Month of the example, YYYY-MM."""
    source: str


@dataclass(frozen=True, kw_only=True)
class Device:
    """One accelerator: what a data sheet says, and the share of it that was measured to be within reach."""

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
    sustained_fraction: float = 0.76
    """Rate of a model's matrix products through a training run of tuned code over that best one: mixed shapes, real
    data, clocks under load."""
    sustained_source: str = "not measured: as the H100, the lower of the two measured"
    attention_fraction: float = 0.5
    """Rate of a fused (flash) attention kernel, forward and backward together, over the dense peak."""
    attention_source: str = "assumed as on the A100 (Dao 2023, arXiv:2307.08691)"
    price: Price | None = None
    speed_calibration: float = 1.0
    """Measured speed over the speed estimated here: set it from a run of your own (`timing.calibration`)."""

    def __post_init__(self) -> None:
        for name in (
            "memory_bytes", "memory_bytes_per_second", "link_bytes_per_second", "network_bytes_per_second",
            "node_devices", "matmul_fraction", "sustained_fraction", "attention_fraction", "speed_calibration",
        ):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ValueError(f"hardware {self.name!r}: {name}={getattr(self, name)!r} must be positive")
        if not self.peak_flops or not all(peak > 0 for peak in self.peak_flops.values()):
            raise ValueError(f"hardware {self.name!r}: peak_flops needs a positive FLOP/s for some precision")
        unknown = set(self.peak_flops) - set(PRECISIONS)
        if unknown:
            raise ValueError(
                f"hardware {self.name!r}: unknown precision {', '.join(sorted(unknown))} in peak_flops: "
                f"use {', '.join(PRECISIONS)}"
            )
        if max(self.matmul_fraction, self.sustained_fraction, self.attention_fraction) > 1:
            raise ValueError(f"hardware {self.name!r}: fractions of the peak cannot exceed 1")
        if self.power_watts is not None and not self.power_watts > 0:
            raise ValueError(
                f"hardware {self.name!r}: power_watts={self.power_watts!r} must be positive or null"
            )

    def peak(self, precision: str) -> float:
        """Dense peak in FLOP/s at a precision. Raises ValueError naming those the device has."""
        if precision not in PRECISIONS:
            raise ValueError(f"precision={precision!r} is unknown: choose one of {', '.join(PRECISIONS)}")
        if precision not in self.peak_flops:
            raise ValueError(
                f"{self.name} has no {precision} matrix units: choose one of {', '.join(self.peak_flops)}"
            )
        return self.peak_flops[precision]

    def to_json(self) -> dict[str, Any]:
        """Every figure and its source, for programs."""
        return {**asdict(self), "peak_flops": dict(self.peak_flops)}

    @property
    def training_precision(self) -> str:
        """The usual precision of matrix products in training: bf16 where there is one, else fp16, else fp32."""
        return next(p for p in ("bf16", "fp16", "fp32", *PRECISIONS) if p in self.peak_flops)


_MAMF = "Bekman, ML Engineering: maximum achievable matmul FLOPS"
_FLASH2_A100 = (
    "FlashAttention-2 on A100, forward 50-73 %, backward up to 63 % of peak (Dao 2023, arXiv:2307.08691)"
)
_FLASH2_H100 = "FlashAttention-2 on H100 reaches 35-40 % (Shah et al. 2024, arXiv:2407.08608, section 1)"
_MOSAIC = "nine in ten of MosaicML's training throughputs are no faster (benchmarks/achieved_rates.py)"
_MAXTEXT = "assumed: MaxText trains at up to 67 % of a v5e's peak in all (project README, 2024)"
_AWS = "AWS on-demand, us-east-1"
_GCP = "Google Cloud on-demand, US"
_LAMBDA = "Lambda on-demand, 8-GPU instance"
_RUNPOD = "RunPod secure cloud"


def _tera(**by_precision: float) -> dict[str, float]:
    return {precision: value * TERA for precision, value in by_precision.items()}


_DEVICES = (
    Device(
        name="v100", title="NVIDIA V100 SXM2 32GB",
        peak_flops=_tera(fp32=15.7, fp16=125),
        memory_bytes=32 * GIB, memory_bytes_per_second=900 * GIGA,
        link_bytes_per_second=150 * GIGA, network_bytes_per_second=6.25 * GIGA, node_devices=8,
        power_watts=300,
        source="NVIDIA V100 data sheet (2020); network of a DGX-2: 8 x 100 Gb/s for 16 GPUs",
        price=Price(usd_per_device_hour=3.06, date="2023-06", source=f"{_AWS}, p3.2xlarge"),
    ),
    Device(
        name="t4", title="NVIDIA T4",
        peak_flops=_tera(fp32=8.1, fp16=65, int8=130),
        memory_bytes=15360 * MIB, memory_bytes_per_second=320 * GIGA,
        link_bytes_per_second=15.75 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=1,
        power_watts=70,
        source="NVIDIA T4 data sheet (2019); PCIe 3.0 x16; network assumed 10 Gb/s",
        price=Price(usd_per_device_hour=0.35, date="2024-06", source=_GCP),
    ),
    Device(
        name="a100-40gb", title="NVIDIA A100 SXM 40GB",
        peak_flops=_tera(fp32=19.5, tf32=156, fp16=312, bf16=312, int8=624),
        memory_bytes=40 * GIB, memory_bytes_per_second=1555 * GIGA,
        link_bytes_per_second=300 * GIGA, network_bytes_per_second=25 * GIGA, node_devices=8,
        power_watts=400,
        source="NVIDIA A100 data sheet (2021); network of a DGX A100: 8 x 200 Gb/s",
        matmul_fraction=271.2 / 312, matmul_source=f"{_MAMF}, A100 SXM (2025)",
        sustained_fraction=0.93, sustained_source=_MOSAIC,
        attention_fraction=0.5, attention_source=_FLASH2_A100,
        price=Price(usd_per_device_hour=4.10, date="2023-06", source=f"{_AWS}, p4d.24xlarge / 8"),
    ),
    Device(
        name="a100-80gb", title="NVIDIA A100 SXM 80GB",
        peak_flops=_tera(fp32=19.5, tf32=156, fp16=312, bf16=312, int8=624),
        memory_bytes=80 * GIB, memory_bytes_per_second=2039 * GIGA,
        link_bytes_per_second=300 * GIGA, network_bytes_per_second=25 * GIGA, node_devices=8,
        power_watts=400,
        source="NVIDIA A100 data sheet (2021); network of a DGX A100: 8 x 200 Gb/s",
        matmul_fraction=271.2 / 312, matmul_source=f"{_MAMF}, A100 SXM (2025)",
        sustained_fraction=0.93, sustained_source=_MOSAIC,
        attention_fraction=0.5, attention_source=_FLASH2_A100,
        price=Price(usd_per_device_hour=1.79, date="2025-01", source=_LAMBDA),
    ),
    Device(
        name="h100-pcie", title="NVIDIA H100 PCIe 80GB",
        peak_flops=_tera(fp32=51.2, tf32=378, fp16=756, bf16=756, fp8=1513, int8=1513),
        memory_bytes=81559 * MIB, memory_bytes_per_second=2000 * GIGA,
        link_bytes_per_second=64 * GIGA, network_bytes_per_second=25 * GIGA, node_devices=8,
        power_watts=350,
        source="NVIDIA H100 data sheet (2023), sparse figures halved; PCIe 5.0 x16; network assumed 200 Gb/s",
        matmul_fraction=0.75, matmul_source="not measured: the middle of the measured devices",
        attention_fraction=0.375, attention_source=_FLASH2_H100,
        price=Price(usd_per_device_hour=2.49, date="2025-01", source=_LAMBDA),
    ),
    Device(
        name="h100-sxm", title="NVIDIA H100 SXM 80GB",
        peak_flops=_tera(fp32=66.9, tf32=494.7, fp16=989.4, bf16=989.4, fp8=1978.9, int8=1978.9),
        memory_bytes=81559 * MIB, memory_bytes_per_second=3350 * GIGA,
        link_bytes_per_second=450 * GIGA, network_bytes_per_second=50 * GIGA, node_devices=8,
        power_watts=700,
        source="NVIDIA H100 data sheet (2023), sparse figures halved; network of a DGX H100: 8 x 400 Gb/s",
        matmul_fraction=794.5 / 989.4, matmul_source=f"{_MAMF}, H100 SXM (2025)",
        sustained_fraction=0.76, sustained_source=_MOSAIC,
        attention_fraction=0.375, attention_source=_FLASH2_H100,
        price=Price(usd_per_device_hour=2.99, date="2025-01", source=_LAMBDA),
    ),
    Device(
        name="h800", title="NVIDIA H800 SXM 80GB",
        peak_flops=_tera(fp32=66.9, tf32=494.7, fp16=989.4, bf16=989.4, fp8=1978.9, int8=1978.9),
        memory_bytes=81559 * MIB, memory_bytes_per_second=3350 * GIGA,
        link_bytes_per_second=200 * GIGA, network_bytes_per_second=50 * GIGA, node_devices=8,
        power_watts=700,
        source="as H100 SXM with NVLink at 400 GB/s both ways; 8 x 400 Gb/s (DeepSeek-V3, arXiv:2412.19437)",
        matmul_fraction=794.5 / 989.4, matmul_source=f"{_MAMF}, H100 SXM (2025)",
        sustained_fraction=0.76, sustained_source=_MOSAIC,
        attention_fraction=0.375, attention_source=_FLASH2_H100,
        price=Price(usd_per_device_hour=2.00, date="2024-12", source="DeepSeek-V3 (arXiv:2412.19437), table 1"),
    ),
    Device(
        name="h200", title="NVIDIA H200 SXM 141GB",
        peak_flops=_tera(fp32=66.9, tf32=494.7, fp16=989.4, bf16=989.4, fp8=1978.9, int8=1978.9),
        memory_bytes=143771 * MIB, memory_bytes_per_second=4800 * GIGA,
        link_bytes_per_second=450 * GIGA, network_bytes_per_second=50 * GIGA, node_devices=8,
        power_watts=700,
        source="NVIDIA H200 data sheet (2024), sparse figures halved; network of a DGX H200: 8 x 400 Gb/s",
        matmul_fraction=794.5 / 989.4, matmul_source=f"{_MAMF}, H100 SXM (2025): the same compute die",
        sustained_fraction=0.76, sustained_source=_MOSAIC,
        attention_fraction=0.375, attention_source=_FLASH2_H100,
        price=Price(usd_per_device_hour=3.99, date="2025-01", source=_RUNPOD),
    ),
    Device(
        name="b200", title="NVIDIA B200 SXM 180GB",
        peak_flops=_tera(fp32=75, tf32=1125, fp16=2250, bf16=2250, fp8=4500, int8=4500),
        memory_bytes=183359 * MIB, memory_bytes_per_second=8000 * GIGA,
        link_bytes_per_second=900 * GIGA, network_bytes_per_second=50 * GIGA, node_devices=8,
        power_watts=1000,
        source="NVIDIA HGX B200 data sheet (2024), sparse figures halved; network of a DGX B200: 8 x 400 Gb/s",
        matmul_fraction=1745 / 2250, matmul_source=f"{_MAMF}, B200 SXM (2025)",
        attention_fraction=0.375, attention_source="assumed as FlashAttention-2 on H100 (arXiv:2407.08608)",
        price=Price(usd_per_device_hour=4.99, date="2025-06", source=_LAMBDA),
    ),
    Device(
        name="mi250x", title="AMD MI250X (module of two dies)",
        peak_flops=_tera(fp32=47.9, fp16=383, bf16=383, int8=383),
        memory_bytes=128 * GIB, memory_bytes_per_second=3276.8 * GIGA,
        link_bytes_per_second=200 * GIGA, network_bytes_per_second=25 * GIGA, node_devices=4,
        power_watts=560,
        source="AMD MI250X data sheet (2021); Frontier node: 4 modules, 200 Gb/s each; software sees two 64 GiB dies",
        matmul_fraction=147.0 / 191.5, matmul_source=f"{_MAMF}, one die (2024)",
        attention_fraction=0.35, attention_source="assumed: no published measurement",
    ),
    Device(
        name="mi300x", title="AMD MI300X 192GB",
        peak_flops=_tera(fp32=163.4, tf32=653.7, fp16=1307.4, bf16=1307.4, fp8=2614.9, int8=2614.9),
        memory_bytes=192 * GIB, memory_bytes_per_second=5300 * GIGA,
        link_bytes_per_second=448 * GIGA, network_bytes_per_second=50 * GIGA, node_devices=8,
        power_watts=750,
        source="AMD MI300X data sheet (2023); 7 links of 64 GB/s a direction; network assumed 400 Gb/s",
        matmul_fraction=668.4 / 1307.4, matmul_source=f"{_MAMF}, MI300X (2025)",
        attention_fraction=0.3, attention_source="assumed: no published measurement",
        price=Price(usd_per_device_hour=3.99, date="2024-10", source=_RUNPOD),
    ),
    Device(
        name="tpu-v4", title="Google TPU v4 (chip)",
        peak_flops=_tera(bf16=275, int8=275),
        memory_bytes=32 * GIB, memory_bytes_per_second=1228 * GIGA,
        link_bytes_per_second=150 * GIGA, network_bytes_per_second=150 * GIGA, node_devices=4096,
        power_watts=192,
        source="Jouppi et al. 2023 (arXiv:2304.01433), table 4: 6 links of 50 GB/s; largest power seen",
        matmul_fraction=0.9, matmul_source=_MAXTEXT, sustained_fraction=0.93, sustained_source=_MAXTEXT,
        price=Price(usd_per_device_hour=3.22, date="2024-06", source=_GCP),
    ),
    Device(
        name="tpu-v5e", title="Google TPU v5e (chip)",
        peak_flops=_tera(bf16=197, int8=393),
        memory_bytes=16 * GIB, memory_bytes_per_second=819 * GIGA,
        link_bytes_per_second=100 * GIGA, network_bytes_per_second=100 * GIGA, node_devices=256,
        power_watts=None,
        source="Google Cloud TPU v5e documentation (2024): 1,600 Gb/s both ways; power not published",
        matmul_fraction=0.9, matmul_source=_MAXTEXT, sustained_fraction=0.93, sustained_source=_MAXTEXT,
        price=Price(usd_per_device_hour=1.20, date="2024-06", source=_GCP),
    ),
    Device(
        name="tpu-v5p", title="Google TPU v5p (chip)",
        peak_flops=_tera(bf16=459, int8=918),
        memory_bytes=95 * GIB, memory_bytes_per_second=2765 * GIGA,
        link_bytes_per_second=300 * GIGA, network_bytes_per_second=300 * GIGA, node_devices=8960,
        power_watts=None,
        source="Google Cloud TPU v5p documentation (2024): 4,800 Gb/s both ways; power not published",
        matmul_fraction=0.9, matmul_source=_MAXTEXT, sustained_fraction=0.93, sustained_source=_MAXTEXT,
        price=Price(usd_per_device_hour=4.20, date="2024-06", source=_GCP),
    ),
    Device(
        name="rtx3090", title="NVIDIA GeForce RTX 3090 24GB",
        peak_flops=_tera(fp32=35.6, tf32=35.6, fp16=71, bf16=71, int8=284),
        memory_bytes=24 * GIB, memory_bytes_per_second=936 * GIGA,
        link_bytes_per_second=31.5 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=8,
        power_watts=350,
        source="NVIDIA GA102 whitepaper (2020), float32 accumulation; PCIe 4.0 x16; network assumed 10 Gb/s",
        price=Price(usd_per_device_hour=0.43, date="2025-01", source=_RUNPOD),
    ),
    Device(
        name="rtx4090", title="NVIDIA GeForce RTX 4090 24GB",
        peak_flops=_tera(fp32=82.6, tf32=82.6, fp16=165.2, bf16=165.2, fp8=330.3, int8=660.6),
        memory_bytes=24564 * MIB, memory_bytes_per_second=1008 * GIGA,
        link_bytes_per_second=31.5 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=8,
        power_watts=450,
        source="NVIDIA Ada whitepaper (2022), float32 accumulation; PCIe 4.0 x16; network assumed 10 Gb/s",
        price=Price(usd_per_device_hour=0.69, date="2025-01", source=_RUNPOD),
    ),
    Device(
        name="apple-m1", title="Apple M1 (8-core GPU)",
        peak_flops=_tera(fp32=2.6, fp16=2.6),
        memory_bytes=16 * GIB, memory_bytes_per_second=68.25 * GIGA,
        link_bytes_per_second=1.25 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=1,
        power_watts=39,
        source="Apple newsroom, November 2020 (2.6 teraflops); LPDDR4X-4266 x 128 bit; power of a Mac mini",
    ),
    Device(
        name="apple-m1-max", title="Apple M1 Max (32-core GPU)",
        peak_flops=_tera(fp32=10.4, fp16=10.4),
        memory_bytes=64 * GIB, memory_bytes_per_second=400 * GIGA,
        link_bytes_per_second=1.25 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=1,
        power_watts=115,
        source="Apple newsroom, October 2021 (10.4 teraflops); power of a Mac Studio, Apple support",
    ),
    Device(
        name="apple-m2", title="Apple M2 (10-core GPU)",
        peak_flops=_tera(fp32=3.6, fp16=3.6),
        memory_bytes=24 * GIB, memory_bytes_per_second=100 * GIGA,
        link_bytes_per_second=1.25 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=1,
        power_watts=50,
        source="Apple newsroom, June 2022 (3.6 teraflops); power of a Mac mini, Apple support",
    ),
    Device(
        name="cpu", title="generic CPU: 8 cores, AVX2 at 3 GHz",
        peak_flops=_tera(fp32=0.768),
        memory_bytes=32 * GIB, memory_bytes_per_second=51.2 * GIGA,
        link_bytes_per_second=1.25 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=1,
        power_watts=65,
        source="arithmetic: 8 cores x 3 GHz x 2 FMA units x 8 lanes x 2; two channels of DDR4-3200; desktop TDP",
    ),
)  # fmt: skip

CATALOGUE: Mapping[str, Device] = {device.name: device for device in _DEVICES}

ALIASES = {
    "a100": "a100-80gb",
    "h100": "h100-sxm",
    "v100-32gb": "v100",
    "h200-sxm": "h200",
    "b200-sxm": "b200",
}


def get_device(name: str) -> Device:
    """A device by catalogue name, or from a YAML file of one's own.

    Raises ValueError naming the nearest names, or what the file lacks.
    """
    if name.endswith((".yaml", ".yml")):
        return read_device(Path(name))
    key = name.lower().replace("_", "-")
    key = ALIASES.get(key, key)
    if key in CATALOGUE:
        return CATALOGUE[key]
    near = get_close_matches(key, [*CATALOGUE, *ALIASES], n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(CATALOGUE)}"
    raise ValueError(
        f"hardware={name}: unknown device; {hint} A YAML file describes your own (hardware=my.yaml)"
    )


def read_device(path: Path) -> Device:
    """A user's device from YAML: fields of `Device`, optionally `like: NAME` to start from a catalogue entry.

    >>> # my.yaml
    >>> # like: a100-80gb
    >>> # power_watts: 300
    >>> # price: {usd_per_device_hour: 1.1, date: 2026-01, source: our contract}
    """
    import yaml

    if not path.is_file():
        raise ValueError(
            f"hardware={path}: no such file; give a catalogue name ({', '.join(CATALOGUE)}) or a YAML file"
        )
    try:
        given = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"hardware={path}: not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(given, dict):
        raise ValueError(f"hardware={path}: expected `key: value` lines such as `like: a100-80gb`")
    values: dict[str, Any] = dict(given)
    base = get_device(str(values.pop("like"))) if "like" in values else None
    known = [f.name for f in fields(Device)]
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, n=2)
            raise ValueError(
                f"hardware={path}: no such key {key!r}; "
                + (f"did you mean {' or '.join(near)}?" if near else f"keys: like, {', '.join(known)}")
            )
    values = {key: _read_value(path, key, value) for key, value in values.items()}
    values.setdefault("name", path.stem)
    if base is not None:
        values.setdefault("title", f"{base.title}, as in {path.name}")
        return replace(base, **values)
    values.setdefault("title", values["name"])
    values.setdefault("source", str(path))
    values.setdefault("power_watts", None)
    missing = [f.name for f in fields(Device) if f.name not in values and f.name in _REQUIRED]
    if missing:
        raise ValueError(
            f"hardware={path}: missing {', '.join(missing)}; or start from a known device with `like: NAME`"
        )
    return Device(**values)


_REQUIRED = {
    "peak_flops", "memory_bytes", "memory_bytes_per_second", "link_bytes_per_second", "network_bytes_per_second",
    "node_devices",
}  # fmt: skip
_TEXTS = {"name", "title", "source", "matmul_source", "sustained_source", "attention_source"}


def _read_value(path: Path, key: str, value: Any) -> Any:
    """One value of a device file; numbers may be written as 312e12, which YAML reads as text."""
    try:
        if key in _TEXTS or value is None:
            return value
        if key == "peak_flops":
            return {str(precision): float(peak) for precision, peak in value.items()}
        if key == "price":
            return Price(
                usd_per_device_hour=float(value["usd_per_device_hour"]),
                date=str(value.get("date", "undated")),
                source=str(value.get("source", path.name)),
            )
        return int(value) if key == "node_devices" else float(value)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ValueError(
            f"hardware={path}: {key}={value!r} is not of the form that `Device` documents"
        ) from error
