package bridge

func runCrashChild() bool { return false }
