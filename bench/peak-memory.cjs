// Loaded before the command: says at the end how much memory the process had at most.
process.on('exit', () => {
  process.stderr.write(`peak memory ${process.resourceUsage().maxRSS} KiB\n`);
});
