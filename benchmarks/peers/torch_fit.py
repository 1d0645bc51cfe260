"""PyTorch's nn.LSTM and nn.GRU in the usual loop over arrays; its LSTM knows tanh alone."""

import time
from typing import Any

import torch
from protocol import serve
from torch import nn


class Stack(nn.Module):
    """LSTM layers of one width and a linear head: [B, L, F] -> [B, H, 1]."""

    def __init__(self, case: dict[str, Any]) -> None:
        super().__init__()
        units = case["units"]
        self.lstm = nn.LSTM(case["features"], units[0], len(units), batch_first=True)
        self.head = nn.Linear(units[0], case["horizon"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The last state, and the head."""
        states, _ = self.lstm(x)
        return self.head(states[:, -1])[..., None]


class Segments(nn.Module):
    """A GRU over segments, and one step more for each segment ahead: [B, L, 1] -> [B, H, 1]."""

    def __init__(self, case: dict[str, Any]) -> None:
        super().__init__()
        self.width, self.horizon = case["segment"], case["horizon"]
        units, self.ahead = case["units"][0], -(-case["horizon"] // case["segment"])
        self.projection = nn.Linear(self.width, units)
        self.gru = nn.GRU(units, units, batch_first=True)
        self.queries = nn.Parameter(torch.randn(self.ahead, 1, units))
        self.head = nn.Linear(units, self.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All segments ahead in parallel."""
        batch = len(x)
        _, state = self.gru(torch.relu(self.projection(x.reshape(batch, -1, self.width))))
        queries = self.queries.repeat(batch, 1, 1)
        out, _ = self.gru(queries, state.repeat_interleave(self.ahead, 1))
        return self.head(out).reshape(batch, -1, 1)[:, : self.horizon]


def prepare(case: dict[str, Any]) -> Any:
    """A model, an optimizer, and arrays of windows."""
    torch.manual_seed(1)
    windows = case["batch"] * case["steps"]
    x = torch.randn(windows, case["look_back"], case["features"])
    y = torch.randn(windows, case["horizon"], 1)
    model = Segments(case) if case["kind"] == "segment_gru" else Stack(case)
    adam = torch.optim.Adam(model.parameters())

    def measure() -> dict[str, float]:
        start = time.perf_counter()
        for rows in torch.randperm(windows).split(case["batch"]):
            adam.zero_grad()
            nn.functional.mse_loss(model(x[rows]), y[rows]).backward()
            adam.step()
        return {"seconds": time.perf_counter() - start}

    measure()
    return measure


serve(prepare)
