"""The Clock app: alarms, world clock, timers, stopwatch."""
