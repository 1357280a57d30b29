"""Networks as a user has them: a residual network with the names of ResNet-18 [1], and a vision transformer (importable).

[1] He et al., "Deep residual learning for image recognition", CVPR 2016.
"""

import torch
from torch import nn


class BasicBlock(nn.Module):
    def __init__(self, n_inputs, n_outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_inputs, n_outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_outputs, n_outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_outputs)
        self.downsample = None
        if stride > 1 or n_inputs != n_outputs:
            shortcut = nn.Conv2d(n_inputs, n_outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(n_outputs))

    def forward(self, X):
        same = X if self.downsample is None else self.downsample(X)
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(X))))) + same)


class ResNet18(nn.Module):
    """ResNet-18 with ``width`` channels in its first layer, 64 in the paper."""

    def __init__(self, width=64, n_channels=3, n_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(n_channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(width, width, 1), BasicBlock(width, width, 1))
        self.layer2 = nn.Sequential(BasicBlock(width, 2 * width, 2), BasicBlock(2 * width, 2 * width, 1))
        self.layer3 = nn.Sequential(BasicBlock(2 * width, 4 * width, 2), BasicBlock(4 * width, 4 * width, 1))
        self.layer4 = nn.Sequential(BasicBlock(4 * width, 8 * width, 2), BasicBlock(8 * width, 8 * width, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, n_classes)

    def forward(self, X):
        X = self.maxpool(self.relu(self.bn1(self.conv1(X))))
        X = self.layer4(self.layer3(self.layer2(self.layer1(X))))
        return self.fc(self.avgpool(X).flatten(1))


class VisionTransformer(nn.Module):
    """Tokens of patches with learned positions through layers of attention, (n, places, channels)."""

    def __init__(self, side=16, patch=4, width=8):
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.positions = nn.Parameter(torch.zeros((side // patch) ** 2, width))
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(width, 2, 16, batch_first=True) for _ in range(2))

    def forward(self, X):
        X = self.embed(X).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            X = block(X)
        return X


def trained(network, seed=0):
    """Return a network with the weights and batch statistics of a seed, as if it had been trained."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.is_floating_point():  # variances stay positive
                tensor.mul_(1 + 0.2 * torch.rand(tensor.shape, generator=generator))
                tensor.add_(0.01 * torch.rand(tensor.shape, generator=generator))
    return network


def resnet(width=4, seed=0, **options):
    """Return a small ResNet-18 without its classifier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = trained(ResNet18(width, **options))
    network.fc = nn.Identity()
    return network
