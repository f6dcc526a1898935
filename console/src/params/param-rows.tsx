// A list that is asked with params, which are chosen above it.

import { useMemo, type ReactNode, type RefObject } from 'react';
import type { Place } from '../model/place';
import type { FoundView } from '../model/registry';
import { Skeleton } from '../table/blank';
import { RowsView } from '../table/rows-view';
import { ProblemNote } from '../ui/controls';
import { MissingParam } from './missing';
import { ParamBar } from './param-bar';
import { useParams } from './use-params';

interface Props {
  found: FoundView;
  place: Place;
  setPlace: (place: Place) => void;
  page: RefObject<HTMLElement | null>;
  heading: ReactNode;
}

export default function ParamRows({ found, place, setPlace, page, heading }: Props) {
  const params = useParams(found, place, setPlace);
  const bound = useMemo(() => ({ where: [], params: params.values }), [params.values]);
  const above = <>{heading}<ParamBar params={params} /></>;
  if (params.state === 'ready' && !params.missing) {
    return <RowsView found={found} place={place} setPlace={setPlace} page={page} bound={bound} around={params.around} heading={() => above} />;
  }
  return (
    <>
      {above}
      {params.state === 'reading' && <Skeleton label={found.view.title} />}
      {params.problem && <ProblemNote problem={params.problem} onRetry={params.retry} title={`${found.view.title} could not be read`} />}
      {params.missing && <MissingParam found={found} param={params.missing} />}
    </>
  );
}
