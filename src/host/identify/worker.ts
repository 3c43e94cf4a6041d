/** @module A thread that searches: tries units that nobody else has taken. Built as a file of its own, dist/identify-worker.cjs. */
import * as threads from 'node:worker_threads';
import { wipe } from '../../core/bytes.ts';
import { Search } from '../../core/identify/search.ts';
import { doShare } from '../image/in-thread.ts';
import { nodeHashes } from '../node-hashes.ts';
import { takeUnit, tryTaken } from './shared-search.ts';
import { questionFrom, type WorkerData } from './worker-data.ts';

const data = threads.workerData as WorkerData;
const { wanted } = data.question;
void doShare(data.shared, () => {
  const search = new Search(questionFrom(data), nodeHashes);
  for (let unit = takeUnit(data.shared); unit !== undefined; unit = takeUnit(data.shared)) {
    tryTaken(search, unit, data.shared);
  }
}).finally(() => {
  if (wanted.kind === 'measurement') wipe(wanted.tik);
});
