"""What an application and a kubelet speak to."""
