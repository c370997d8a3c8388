"""The commands of whoever runs Threadsmith."""
