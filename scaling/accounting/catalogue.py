"""The catalogue of accelerators: a table of data, each figure with its source.

Peaks are the vendor's figures for dense matrices: a sparse figure is twice that and is never used here. Peaks
count float32 accumulation where the vendor gives both. Bandwidths are per direction and per device. Prices are
examples of the day they are dated: give your own.
"""

from collections.abc import Mapping

from scaling.accounting.device import Device, Price

GIB = 2**30
MIB = 2**20
TERA = 1e12
GIGA = 1e9

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
        price=Price(usd_per_device_hour=3.90, date="2023-06", source=f"{_AWS}, p3dn.24xlarge / 8"),
    ),
    Device(
        name="v100-16gb", title="NVIDIA V100 SXM2 16GB",
        peak_flops=_tera(fp32=15.7, fp16=125),
        memory_bytes=16 * GIB, memory_bytes_per_second=900 * GIGA,
        link_bytes_per_second=150 * GIGA, network_bytes_per_second=6.25 * GIGA, node_devices=8,
        power_watts=300,
        source="NVIDIA V100 data sheet (2020); network of a DGX-1: 4 x 100 Gb/s for 8 GPUs",
        price=Price(usd_per_device_hour=3.06, date="2023-06", source=f"{_AWS}, p3.2xlarge"),
    ),
    Device(
        name="t4", title="NVIDIA T4",
        peak_flops=_tera(fp32=8.1, fp16=65, int8=130),
        memory_bytes=15360 * MIB, visible_memory_bytes=14.75 * GIB, memory_bytes_per_second=320 * GIGA,
        link_bytes_per_second=15.75 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=1,
        power_watts=70,
        source="NVIDIA T4 data sheet (2019); PCIe 3.0 x16; network assumed 10 Gb/s",
        price=Price(usd_per_device_hour=0.35, date="2024-06", source=_GCP),
    ),
    Device(
        name="a100-40gb", title="NVIDIA A100 SXM 40GB",
        peak_flops=_tera(fp32=19.5, tf32=156, fp16=312, bf16=312, int8=624),
        memory_bytes=40 * GIB, visible_memory_bytes=39.5 * GIB, memory_bytes_per_second=1555 * GIGA,
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
        name="a800", title="NVIDIA A800 SXM 80GB",
        peak_flops=_tera(fp32=19.5, tf32=156, fp16=312, bf16=312, int8=624),
        memory_bytes=80 * GIB, memory_bytes_per_second=2039 * GIGA,
        link_bytes_per_second=200 * GIGA, network_bytes_per_second=25 * GIGA, node_devices=8,
        power_watts=400,
        source="NVIDIA A800 data sheet (2022): A100 with NVLink at 400 GB/s both ways",
        matmul_fraction=271.2 / 312, matmul_source=f"{_MAMF}, A100 SXM (2025)",
        sustained_fraction=0.93, sustained_source=_MOSAIC,
        attention_fraction=0.5, attention_source=_FLASH2_A100,
    ),
    Device(
        name="a6000", title="NVIDIA RTX A6000 48GB",
        peak_flops=_tera(fp32=38.7, tf32=77.4, fp16=154.8, bf16=154.8, int8=309.7),
        memory_bytes=49140 * MIB, memory_bytes_per_second=768 * GIGA,
        link_bytes_per_second=31.5 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=8,
        power_watts=300,
        source="NVIDIA RTX A6000 data sheet and GA102 whitepaper (2021), sparse figures halved; PCIe 4.0 x16; network "
        "assumed 10 Gb/s",
        price=Price(usd_per_device_hour=0.80, date="2025-01", source="Lambda on-demand, 1-GPU instance"),
    ),
    Device(
        name="l4", title="NVIDIA L4 24GB",
        peak_flops=_tera(fp32=30.3, tf32=60, fp16=121, bf16=121, fp8=242.5, int8=242.5),
        memory_bytes=23034 * MIB, memory_bytes_per_second=300 * GIGA,
        link_bytes_per_second=31.5 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=8,
        power_watts=72,
        source="NVIDIA L4 data sheet (2023), sparse figures halved; PCIe 4.0 x16; network assumed 10 Gb/s",
        price=Price(usd_per_device_hour=0.71, date="2024-06", source=f"{_GCP}, g2-standard-4"),
    ),
    Device(
        name="l40s", title="NVIDIA L40S 48GB",
        peak_flops=_tera(fp32=91.6, tf32=183, fp16=362, bf16=362, fp8=733, int8=733),
        memory_bytes=46068 * MIB, memory_bytes_per_second=864 * GIGA,
        link_bytes_per_second=31.5 * GIGA, network_bytes_per_second=12.5 * GIGA, node_devices=8,
        power_watts=350,
        source="NVIDIA L40S data sheet (2023); PCIe 4.0 x16; network assumed 100 Gb/s",
        price=Price(usd_per_device_hour=1.86, date="2024-09", source=f"{_AWS}, g6e.xlarge"),
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
        memory_bytes=81559 * MIB, visible_memory_bytes=79.11 * GIB, memory_bytes_per_second=3350 * GIGA,
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
        name="h20", title="NVIDIA H20 96GB",
        peak_flops=_tera(fp32=44, tf32=74, fp16=148, bf16=148, fp8=296, int8=296),
        memory_bytes=97871 * MIB, memory_bytes_per_second=4000 * GIGA,
        link_bytes_per_second=450 * GIGA, network_bytes_per_second=50 * GIGA, node_devices=8,
        power_watts=400,
        source="NVIDIA H20 data sheet (2023); network assumed as of a DGX H100",
    ),
    Device(
        name="gh200", title="NVIDIA GH200 96GB",
        peak_flops=_tera(fp32=66.9, tf32=494.7, fp16=989.4, bf16=989.4, fp8=1978.9, int8=1978.9),
        memory_bytes=97871 * MIB, memory_bytes_per_second=4000 * GIGA,
        link_bytes_per_second=50 * GIGA, network_bytes_per_second=50 * GIGA, node_devices=1,
        power_watts=1000,
        source="NVIDIA GH200 data sheet (2023), sparse figures halved; power of the module with its CPU; network "
        "assumed 400 Gb/s",
        matmul_fraction=828.6 / 989.4, matmul_source=f"{_MAMF}, GH200 (2025)",
        sustained_fraction=0.76, sustained_source=_MOSAIC,
        attention_fraction=0.375, attention_source=_FLASH2_H100,
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
        name="gb200", title="NVIDIA GB200 NVL72 (one GPU)",
        peak_flops=_tera(fp32=80, tf32=1250, fp16=2500, bf16=2500, fp8=5000, int8=5000),
        memory_bytes=186 * GIGA, memory_bytes_per_second=8000 * GIGA,
        link_bytes_per_second=900 * GIGA, network_bytes_per_second=50 * GIGA, node_devices=72,
        power_watts=1200,
        source="NVIDIA GB200 NVL72 data sheet (2024), a 72nd of it, sparse figures halved; network assumed 400 Gb/s",
        matmul_fraction=1745 / 2250, matmul_source=f"{_MAMF}, B200 SXM (2025): the same compute dies",
        attention_fraction=0.375, attention_source="assumed as FlashAttention-2 on H100 (arXiv:2407.08608)",
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
        name="mi325x", title="AMD MI325X 256GB",
        peak_flops=_tera(fp32=163.4, tf32=653.7, fp16=1307.4, bf16=1307.4, fp8=2614.9, int8=2614.9),
        memory_bytes=256 * GIB, memory_bytes_per_second=6000 * GIGA,
        link_bytes_per_second=448 * GIGA, network_bytes_per_second=50 * GIGA, node_devices=8,
        power_watts=1000,
        source="AMD MI325X data sheet (2024); 7 links of 64 GB/s a direction; network assumed 400 Gb/s",
        matmul_fraction=668.4 / 1307.4, matmul_source=f"{_MAMF}, MI300X (2025): the same compute dies",
        attention_fraction=0.3, attention_source="assumed: no published measurement",
    ),
    Device(
        name="tpu-v3", title="Google TPU v3 (chip)",
        peak_flops=_tera(bf16=123),
        memory_bytes=32 * GIB, memory_bytes_per_second=900 * GIGA,
        link_bytes_per_second=140 * GIGA, network_bytes_per_second=140 * GIGA, node_devices=1024,
        power_watts=262,
        source="Jouppi et al. 2023 (arXiv:2304.01433), table 4: 4 links of 70 GB/s; largest power seen",
        matmul_fraction=0.9, matmul_source=_MAXTEXT, sustained_fraction=0.93, sustained_source=_MAXTEXT,
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
        name="tpu-v6e", title="Google TPU v6e (chip)",
        peak_flops=_tera(bf16=918, int8=1836),
        memory_bytes=32 * GIB, memory_bytes_per_second=1640 * GIGA,
        link_bytes_per_second=224 * GIGA, network_bytes_per_second=224 * GIGA, node_devices=256,
        power_watts=None,
        source="Google Cloud TPU v6e documentation (2024): 3,584 Gb/s both ways; power not published",
        matmul_fraction=0.9, matmul_source=_MAXTEXT, sustained_fraction=0.93, sustained_source=_MAXTEXT,
        price=Price(usd_per_device_hour=2.70, date="2024-12", source=_GCP),
    ),
    Device(
        name="rtx3090", title="NVIDIA GeForce RTX 3090 24GB",
        peak_flops=_tera(fp32=35.6, tf32=35.6, fp16=71, bf16=71, int8=284),
        memory_bytes=24 * GIB, visible_memory_bytes=23.58 * GIB, memory_bytes_per_second=936 * GIGA,
        link_bytes_per_second=31.5 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=8,
        power_watts=350,
        source="NVIDIA GA102 whitepaper (2020), float32 accumulation; PCIe 4.0 x16; network assumed 10 Gb/s",
        price=Price(usd_per_device_hour=0.43, date="2025-01", source=_RUNPOD),
    ),
    Device(
        name="rtx4090", title="NVIDIA GeForce RTX 4090 24GB",
        peak_flops=_tera(fp32=82.6, tf32=82.6, fp16=165.2, bf16=165.2, fp8=330.3, int8=660.6),
        memory_bytes=24564 * MIB, visible_memory_bytes=23.64 * GIB, memory_bytes_per_second=1008 * GIGA,
        link_bytes_per_second=31.5 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=8,
        power_watts=450,
        source="NVIDIA Ada whitepaper (2022), float32 accumulation; PCIe 4.0 x16; network assumed 10 Gb/s",
        price=Price(usd_per_device_hour=0.69, date="2025-01", source=_RUNPOD),
    ),
    Device(
        name="rtx5090", title="NVIDIA GeForce RTX 5090 32GB",
        peak_flops=_tera(fp32=104.8, tf32=104.8, fp16=209.5, bf16=209.5, fp8=419, int8=838),
        memory_bytes=32607 * MIB, memory_bytes_per_second=1792 * GIGA,
        link_bytes_per_second=63 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=8,
        power_watts=575,
        source="NVIDIA RTX Blackwell whitepaper (2025), float32 accumulation; PCIe 5.0 x16; network assumed 10 Gb/s",
    ),
    Device(
        name="apple-m1", title="Apple M1 (8-core GPU)",
        shares_host_memory=True,
        peak_flops=_tera(fp32=2.6, fp16=2.6),
        memory_bytes=16 * GIB, memory_bytes_per_second=68.25 * GIGA,
        link_bytes_per_second=1.25 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=1,
        power_watts=39,
        source="Apple newsroom, November 2020 (2.6 teraflops); LPDDR4X-4266 x 128 bit; power of a Mac mini",
    ),
    Device(
        name="apple-m1-max", title="Apple M1 Max (32-core GPU)",
        shares_host_memory=True,
        peak_flops=_tera(fp32=10.4, fp16=10.4),
        memory_bytes=64 * GIB, memory_bytes_per_second=400 * GIGA,
        link_bytes_per_second=1.25 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=1,
        power_watts=115,
        source="Apple newsroom, October 2021 (10.4 teraflops); power of a Mac Studio, Apple support",
    ),
    Device(
        name="apple-m2", title="Apple M2 (10-core GPU)",
        shares_host_memory=True,
        peak_flops=_tera(fp32=3.6, fp16=3.6),
        memory_bytes=24 * GIB, memory_bytes_per_second=100 * GIGA,
        link_bytes_per_second=1.25 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=1,
        power_watts=50,
        source="Apple newsroom, June 2022 (3.6 teraflops); power of a Mac mini, Apple support",
    ),
    Device(
        name="cpu", title="generic CPU: 8 cores, AVX2 at 3 GHz",
        shares_host_memory=True,
        peak_flops=_tera(fp32=0.768),
        memory_bytes=32 * GIB, memory_bytes_per_second=51.2 * GIGA,
        link_bytes_per_second=1.25 * GIGA, network_bytes_per_second=1.25 * GIGA, node_devices=1,
        power_watts=65,
        source="arithmetic: 8 cores x 3 GHz x 2 FMA units x 8 lanes x 2; two channels of DDR4-3200; desktop TDP",
    ),
)  # fmt: skip

CATALOGUE: Mapping[str, Device] = {device.name: device for device in _DEVICES}
"""Every device by its name."""

ALIASES = {
    "a100": "a100-80gb",
    "h100": "h100-sxm",
    "v100-32gb": "v100",
    "h200-sxm": "h200",
    "b200-sxm": "b200",
    "rtx-a6000": "a6000",
    "rtx-3090": "rtx3090",
    "rtx-4090": "rtx4090",
    "rtx-5090": "rtx5090",
    "a100-sxm": "a100-80gb",
    "trillium": "tpu-v6e",
}
"""Other names in use, each for a name in `CATALOGUE`."""
