"""The five stages: each runs its step of the experiment that params.yaml and the card say."""
