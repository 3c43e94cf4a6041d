/** @module A thread that searches: tries units that nobody else has taken. Built as a file of its own, dist/identify-worker.cjs. */
import * as threads from 'node:worker_threads';
import { wipe } from '../../core/bytes.ts';
import { Search } from '../../core/identify/search.ts';
import { doShare } from '../image/in-thread.ts';
import { nodeHashes } from '../node-hashes.ts';
import { tryUnits } from './shared-search.ts';
import { questionFrom, type WorkerData } from './worker-data.ts';

const data = threads.workerData as WorkerData;
const { wanted } = data.question;
void doShare(data.shared, () => {
  const search = new Search(questionFrom(data), nodeHashes);
  const work = tryUnits(search, data.shared);
  while (work.next().done !== true);
}).finally(() => {
  if (wanted.kind === 'measurement') wipe(wanted.tik);
});
