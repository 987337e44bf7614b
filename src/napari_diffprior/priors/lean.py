"""The same network at less cost on a CPU. Imports torch and diffusers: import it only where a network is at hand."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, group_norm, silu


def lean(network: Any) -> Any:
    """Make a diffusers UNet2DModel with frozen weights faster, in place; parts that are not plain stay as they are.

    What it computes stays the same up to rounding, and so do the names of its weights.
    """
    modules: list[Any] = list(network.modules())
    for module in modules:
        if type(module) is ResnetBlock2D and _is_plain(module):
            module.__class__ = LeanBlock
            module.norm1.__class__ = module.norm2.__class__ = NormSiLU
        elif type(module) is Upsample2D and _doubles(module):
            module.__class__ = LeanUpsample
            conv: Any = module.conv
            module.register_buffer("merged", merged(conv.weight), persistent=False)
    if type(getattr(network, "conv_act", None)) is nn.SiLU and type(network.conv_norm_out) is nn.GroupNorm:
        network.conv_norm_out.__class__, network.conv_act = NormSiLU, nn.Identity()
    return network


def _is_plain(block: Any) -> bool:
    """Whether a block does what the lean one does."""
    resamples = block.upsample is not None or block.downsample is not None
    norms = type(block.norm1) is type(block.norm2) is nn.GroupNorm and type(block.nonlinearity) is nn.SiLU
    plain = block.time_embedding_norm == "default" and not block.skip_time_act
    return norms and plain and not resamples and block.output_scale_factor == 1.0


def _doubles(module: Any) -> bool:
    """Whether pixels are doubled and then convolved with 3 x 3 weights."""
    plain = module.use_conv and not module.use_conv_transpose and module.interpolate and module.norm is None
    return plain and module.name == "conv" and module.conv.kernel_size == (3, 3) and module.conv.padding == (1, 1)


def merged(weight: Tensor) -> Tensor:
    """Weights (in, out, 4, 4) of the transposed convolution that doubles pixels and convolves them with (out, in, 3, 3).

    Doubled pixels are equal in pairs, so 4 of 9 products are enough. Along an axis the output 2 i + a is the sum over k of
    weight k times the pixel i + (a + k - 1) // 2, which a transposed convolution of stride 2 and padding 1 multiplies by
    its own weight a + 1 - 2 ((a + k - 1) // 2).
    """
    taps = weight.new_zeros(4, 3)
    for a in range(2):
        for k in range(3):
            taps[a + 1 - 2 * ((a + k - 1) // 2), k] = 1.0
    return torch.einsum("yk,xl,oikl->ioyx", taps, taps, weight).contiguous(memory_format=torch.channels_last)


class NormSiLU(nn.GroupNorm):
    """Group norm and SiLU in one."""

    def forward(self, x: Tensor) -> Tensor:
        """SiLU of the normalised x, with a gradient for x alone."""
        if x.requires_grad:
            made: Tensor = _NormSiLU.apply(x, self.weight, self.bias, self.num_groups, self.eps)  # type: ignore[no-untyped-call]
            return made
        return silu(group_norm(x, self.num_groups, self.weight, self.bias, self.eps), inplace=True)


class _NormSiLU(torch.autograd.Function):
    """Group norm (Wu & He 2018), then SiLU.

    The gradient is that of the input alone, in passes over the whole tensor: torch's own goes through channels-last memory
    pixel by pixel and takes four times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        normed, mean, rstd = torch.ops.aten.native_group_norm(
            x, weight, bias, x.shape[0], x.shape[1], x[0, 0].numel(), groups, eps
        )
        ctx.save_for_backward(x, weight, bias, mean.to(weight.dtype), rstd.to(weight.dtype))
        return silu(normed, inplace=True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, weight, bias, mean, rstd = ctx.saved_tensors
        size = x.shape[1] // rstd.shape[1]

        def each(group: Tensor) -> Tensor:  # from groups to channels
            return group.repeat_interleave(size, 1)

        def wide(channel: Tensor) -> Tensor:  # from channels to pixels
            return channel.to(x.dtype)[:, :, None, None]

        def pooled(channel: Tensor) -> Tensor:  # mean over a group's pixels
            mean: Tensor = channel.reshape(len(x), -1, size).sum(2) / (size * x[0, 0].numel())
            return mean

        scale, centre = each(rstd) * weight, each(mean)
        normed = torch.addcmul(wide(bias - centre * scale), x, wide(scale))
        gradient = torch.ops.aten.silu_backward(gradient, normed)
        first, second = (part.sum((2, 3)).to(weight.dtype) for part in (gradient, gradient * x))
        level, slope = pooled(weight * first), rstd * pooled(weight * (second - centre * first))
        bend = each(rstd.square() * slope)
        pulled = torch.addcmul(wide(bend * centre - each(rstd * level)), x, wide(-bend))
        return pulled.addcmul_(gradient, wide(scale)), None, None, None, None


class LeanBlock(ResnetBlock2D):
    """Residual block that adds where its convolutions wrote, and does not divide by one."""

    def forward(self, input_tensor: Tensor, temb: Tensor | None, *_: Any, **__: Any) -> Tensor:
        """Residual block of an image (B, C, H, W) and a time embedding (B, T)."""
        hidden: Tensor = self.conv1(self.norm1(input_tensor))
        if self.time_emb_proj is not None and temb is not None:
            hidden.add_(self.time_emb_proj(silu(temb))[:, :, None, None])
        hidden = self.conv2(self.norm2(hidden))
        hidden.add_(input_tensor if self.conv_shortcut is None else self.conv_shortcut(input_tensor))
        return hidden


class LeanUpsample(Upsample2D):
    """Doubled pixels and their convolution as one transposed convolution."""

    def forward(self, hidden_states: Tensor, output_size: int | None = None, *_: Any, **__: Any) -> Tensor:
        """Image of twice the size, or of the one that is asked for."""
        if output_size is not None:
            asked: Tensor = super().forward(hidden_states, output_size)
            return asked
        conv: Any = self.conv
        return conv_transpose2d(hidden_states, self.get_buffer("merged"), conv.bias, stride=2, padding=1)
