"""The two HTTP listeners: one for the application, one for a kubelet's probes and for metrics."""
